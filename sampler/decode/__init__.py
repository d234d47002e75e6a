"""Pictures decoded as a plan asks for them."""
