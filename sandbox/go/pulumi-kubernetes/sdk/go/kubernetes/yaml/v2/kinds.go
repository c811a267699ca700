// Package v2 of the SDK with this one file of ours in place of its generated kinds.go.
//
// The generated file is a switch over 167 kinds. Each case picks a Go type for what comes back and builds the type token
// by one rule, the same as its default branch; nobody reads the Go type. The switch is the only reason why the provider
// compiles the 62 packages of the generated SDK, which take longer than all the rest of it.
package v2

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-kubernetes/sdk/v4/go/kubernetes/apiextensions"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// IsListKind tells whether objects of this kind hold a list of others.
func IsListKind(_, kind string) bool {
	return strings.HasSuffix(kind, "List")
}

// RegisterResource registers an object under the type token of its kind.
func RegisterResource(ctx *pulumi.Context, apiVersion, kind, name string, props pulumi.Input,
	opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	group := apiVersion
	if group == "v1" {
		group = "core/v1"
	}
	var resource apiextensions.CustomResource
	if err := ctx.RegisterResource(fmt.Sprintf("kubernetes:%s:%s", group, kind), name, props, &resource, opts...); err != nil {
		return nil, err
	}
	return &resource, nil
}
