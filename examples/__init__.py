"""Small real applications that emit events, as an application developer would write them."""
