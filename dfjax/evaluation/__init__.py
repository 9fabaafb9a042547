"""From clips to scores, from scores to metrics, and the checks that metrics can be believed."""
