//! Messages keep every field, through our bytes and through the engine's type.
