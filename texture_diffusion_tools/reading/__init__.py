"""What is read: any photo, mask or folder of maps becomes values of channels, an exemplar."""
