"""One state, one step, one loop: how every model of the package is trained and resumed."""
