from .ray_sites import sites_on_ray

__all__ = ["sites_on_ray"]
