"""What every learning rule keeps, as checks that run on small chips: `analogsim rules check NAME`."""
