PLACES = {"10.0.0.1": ("de", "Berlin"), "10.0.0.2": ("fr", "Évry")}


def place_of(ip):
    return PLACES.get(ip, (None, None))
