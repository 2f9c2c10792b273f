"""From a picture or a video to tracks: files, and the video of an actor."""
