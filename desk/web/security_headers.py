"""Headers of every answer: what a browser may do with the desk's pages."""

from typing import Final

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Content-Security-Policy: our own files only, no inline script or style, in no frame."""
YEAR_SECONDS: Final = 31_536_000


def security_headers(*, secure: bool, cached: bool) -> dict[str, str]:
    """Returns the headers by their names.

    Args:
        secure: browsers come by TLS.
        cached: the answer is a file whose address changes with its content; all others are never stored.
    """
    headers = {
        "content-security-policy": POLICY,
        "x-content-type-options": "nosniff",
        # Not `no-referrer`: with it, browsers send `Origin: null` with our own forms.
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "permissions-policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
        "cache-control": f"public, max-age={YEAR_SECONDS}, immutable" if cached else "no-store",
    }
    return headers | ({"strict-transport-security": f"max-age={YEAR_SECONDS}"} if secure else {})
