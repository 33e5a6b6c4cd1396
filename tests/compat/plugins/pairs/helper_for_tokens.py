def strip_scheme(header):
    """The token of an Authorization header."""
    if not header:
        return None
    scheme, _, rest = header.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else header
