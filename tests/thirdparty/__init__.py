"""Boxport with clients, generators and judges that others wrote.

Each is installed when a test first wants it, into a folder of the user's cache (`tools`), and never
among what the service needs. Where it cannot be had its tests are skipped.
"""
