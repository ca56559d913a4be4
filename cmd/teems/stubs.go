package main

import "github.com/spf13/cobra"

func newUp() *cobra.Command       { return &cobra.Command{Use: "up", Run: func(*cobra.Command, []string) {}} }
func newClient() *cobra.Command   { return &cobra.Command{Use: "client", Run: func(*cobra.Command, []string) {}} }
func newManifest() *cobra.Command { return &cobra.Command{Use: "manifest", Run: func(*cobra.Command, []string) {}} }
