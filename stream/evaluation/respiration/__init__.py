"""The evaluation's second half: breathing people, whose motion is known, and the magnifiers of motion."""
