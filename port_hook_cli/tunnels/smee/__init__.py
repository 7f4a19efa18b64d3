"""Webhook relays: smee.io, another smee server, or gosmee."""
