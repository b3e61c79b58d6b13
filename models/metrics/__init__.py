"""What a magnified video is worth: likeness of the picture, and faithfulness to the pulse."""
