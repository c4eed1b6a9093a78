"""A study: several networks, dense and as tickets, compared by one command."""
