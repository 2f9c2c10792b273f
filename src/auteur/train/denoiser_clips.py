from auteur.data.denoiser_clips import BatchOf, ClipBatch, ClipFolder, write_clip  # noqa
