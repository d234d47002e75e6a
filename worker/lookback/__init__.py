"""Looking back: hashes that have just come are searched for in what was judged without them."""
