"""Pending segments, and the fair queues that choose the next one."""
