"""One module for each framework; each imports its own alone, and nothing else imports them."""
