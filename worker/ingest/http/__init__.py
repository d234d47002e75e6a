"""HTTP to origins: the allowed origins, and the guarded session that fetches from them."""
