"""One file a migration, numbered; each says what it needs by itself and is never changed once released."""
