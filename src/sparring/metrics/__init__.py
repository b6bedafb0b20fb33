"""What is measured on samples: features of a judge network, and distances between two sets of them."""
