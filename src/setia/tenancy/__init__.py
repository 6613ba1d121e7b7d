"""Merchants, their programmes and outlets, staff with roles, and API keys with scopes.

It owns who may do what. It never knows a member or a point. Everything below a merchant carries its programme,
and what belongs to another merchant is not found, whoever asks.
"""
