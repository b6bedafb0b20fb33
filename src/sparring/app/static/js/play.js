// The script of this page.
