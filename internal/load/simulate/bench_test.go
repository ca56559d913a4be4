package simulate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkSockets is epochs of a real cluster: four server processes, a gateway
// and 4,096 clients with a TCP connection each, on this machine's loopback.
// core-s/epoch is the CPU time of servers and gateway, the clients' left out;
// peer-B/client what all servers send each other.
func BenchmarkSockets(b *testing.B) {
	dir := b.TempDir()
	build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "github.com/teems-go/teems/cmd/...")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		b.Fatal(err)
	}
	for _, channel := range []string{Token, ID, Both} {
		b.Run(channel+"/N=2^12/M=4", func(b *testing.B) {
			r, err := Run(context.Background(), Options{
				Clients: 1 << 12, Servers: 4, Epochs: max(b.N, 2), Channel: channel, Seed: 1, Kill: -1,
				ServerBinary: filepath.Join(dir, "teems-server"), GatewayBinary: filepath.Join(dir, "teems-gateway"),
				Loader: filepath.Join(dir, "teems"),
			})
			if err != nil {
				b.Fatal(err)
			}
			if r.Lost != 0 || !r.ReferenceMatch {
				b.Fatalf("lost %d, reference match %v", r.Lost, r.ReferenceMatch)
			}
			b.ReportMetric(r.CoreSeconds, "core-s/epoch")
			b.ReportMetric(r.CoreSeconds/(1<<12)*1e9, "core-ns/client")
			b.ReportMetric(r.EpochMean*1e9, "ns/epoch")
			b.ReportMetric(r.BytesMean*4/(1<<12), "peer-B/client")
			b.ReportMetric(0, "ns/op")
		})
	}
}
