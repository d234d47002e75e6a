"""The cookie of a session."""


def cookie_name(*, secure: bool) -> str:
    """The cookie's name; by TLS with a prefix, so that no other host of the domain can set it."""
    return "__Host-lw_desk" if secure else "lw_desk"


def cookie_header(token: str, *, secure: bool) -> str:
    """The value of Set-Cookie; an empty token removes the cookie.

    `Lax`: a link from a chat to a case opens signed in; forms of other sites come without the cookie.
    """
    parts = [f"{cookie_name(secure=secure)}={token}", "Path=/", "HttpOnly", "SameSite=Lax"]
    return "; ".join(parts + ["Secure"] * secure + ["Max-Age=0"] * (not token))
