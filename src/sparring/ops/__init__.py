"""Operations on tensors that torch does not offer in this form."""
