"""Operations in forms that XLA's CPU backend is fast at."""
