"""Questions asked of solutions; no study knows another."""
