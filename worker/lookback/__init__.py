"""Look-back: the verdict log is searched for new hashes, since its pictures were judged without them."""
