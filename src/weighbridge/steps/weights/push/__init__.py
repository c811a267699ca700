"""The route push: from this machine into an rsync pod."""
