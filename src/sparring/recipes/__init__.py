"""One file per method; a plain table from a name to the class."""

RECIPES: dict[str, str] = {
    "gan": "sparring.recipes.gan:GAN",
    "dcgan": "sparring.recipes.dcgan:DCGAN",
    "r3gan": "sparring.recipes.r3gan:R3GAN",
    "cgan": "sparring.recipes.cgan:CGAN",
    "classifier": "sparring.recipes.classifier:Classifier",
}
"""Every recipe by name, as ``"module:Class"``: imported only when it is used."""
