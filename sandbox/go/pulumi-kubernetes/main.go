// Command pulumi-resource-kubernetes is Pulumi's own Kubernetes provider, started as its upstream main starts it.
//
// Upstream's main embeds two generated files that its Go module does not carry. The tool builder makes them from the
// module's schema.json (with the version set) and terraform-mapping.json, beside a copy of this file.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema-embed.json
var schema []byte

//go:embed terraform-mapping-embed.json
var mapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, mapping)
}
