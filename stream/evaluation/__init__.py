"""`deepmag evaluate`: does it magnify what it claims to? The paper's evaluation, on people whose pulse is known."""
