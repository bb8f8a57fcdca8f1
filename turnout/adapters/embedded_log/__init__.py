"""The bus without a broker: the store's outbox is the log. Groups, positions and wake-ups are its own."""
