from .tunnel import Tunnel as Tunnel
