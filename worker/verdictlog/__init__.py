"""The verdict log: what each sampled picture was judged to be, in Parquet, kept for a while to look back on."""
