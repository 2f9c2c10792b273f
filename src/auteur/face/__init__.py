"""Faces: find them, landmark them, read Action Units, pose and gaze."""
