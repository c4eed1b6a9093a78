"""What must hold in every round: checked while it trains, and again from its files."""
