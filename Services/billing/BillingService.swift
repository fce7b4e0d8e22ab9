@main
struct BillingService {
    static func main() {}
}
