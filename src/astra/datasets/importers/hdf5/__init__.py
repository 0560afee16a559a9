"""Recordings in HDF5 files: robomimic and LIBERO, ALOHA and ACT, ManiSkill."""
