"""One file per method; a plain table from a name to the class."""

RECIPES: dict[str, str] = {
    "gan": "sparring.recipes.gan:GAN",
    "dcgan": "sparring.recipes.dcgan:DCGAN",
    "r3gan": "sparring.recipes.r3gan:R3GAN",
    "stylegan2": "sparring.recipes.stylegan2:StyleGAN2",
    "cgan": "sparring.recipes.cgan:CGAN",
    "pix2pix": "sparring.recipes.pix2pix:Pix2Pix",
    "cyclegan": "sparring.recipes.cyclegan:CycleGAN",
    "vae": "sparring.recipes.vae:VAE",
    "svae": "sparring.recipes.svae:SVAE",
    "pixelcnn": "sparring.recipes.pixelcnn:PixelCNNByClass",
    "vqgan": "sparring.recipes.vqgan:VQGAN",
    "taming": "sparring.recipes.taming:Taming",
    "text2image": "sparring.recipes.text2image:Text2Image",
    "classifier": "sparring.recipes.classifier:Classifier",
    "fcn8s": "sparring.recipes.fcn8s:FCN8s",
    "dualencoder": "sparring.recipes.dualencoder:DualEncoderGame",
}
"""Every recipe by name, as ``"module:Class"``: imported only when it is used."""
