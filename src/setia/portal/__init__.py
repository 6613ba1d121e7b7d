"""The pages members see: joining, their own page and why each point is there. It reads; joining and agreeing it passes on."""
