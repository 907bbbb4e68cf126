"""The page: the way from a photo to a texture in a browser, `python page.py`.

    __main__.py    what starts it
    app.py         the frame: head, the four steps, what is common to them
    photo.py       1 Photo    upload, corners, crop, mask, even light
    draw.py        2 Draw     training and drawing, with progress
    look.py        3 Look     the texture at any size, its tiles, other seeds, the material under a light
    take.py        4 Take     downloads of all textures, their settings again, the command line
    shape.py       size, seamlessness and depth, as cards and one by one; guide.py: a picture to follow
    several.py     several textures, and the map that says which lies where
    offers.py      what a texture can be downloaded as

    projects.py    what is on the disk: a photo, its settings, what its runs told
    runs.py        the script as a process of its own, and what it tells (texture_diffusion_tools/running/events.py)
    costs.py       how long training and drawing take on this machine, measured
    names.py       what is known of a texture by its path
    workers.py     what takes long, done in other processes: reading photos, pyramids of tiles, other formats
    pool.py        those processes, which end with the page
    guard.py       who may ask: hosts, origins, password, size of uploads
    elements.py    three elements of our own: the viewer, the lit material, the .glb to be turned

The steps import the services, and those import the script's rooms, never back.
"""
