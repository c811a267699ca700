"""What several tests share: builders of values and fakes of the ports."""
