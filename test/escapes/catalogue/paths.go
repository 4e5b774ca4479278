package catalogue

import "slices"

var paths = slices.Concat(pathLinks, pathCreate, pathMounts, pathNamespaces, pathNames, pathMeta, pathContent, pathDescriptors, pathDevices)
