"""The study that asks people: which is real?

`plan` is what a study says of itself (study.yaml), `design` makes one of trained runs, `trials` lists what each rater
sees, `store` keeps the answers, `analyse` says what they mean, and `simulate` draws raters whose skill is known, with
whom all of that is tested. Only `design` loads torch.
"""
