import JSON
import Postgres
import Values

/// Stripe's customer of a user, made when the user first wants to pay.
struct StripeCustomers: Sendable {
    let operations: StripeOperations

    /// Returns Stripe's customer of a user, and creates a missing one. Concurrent callers get the same customer.
    func ensure(_ customer: Customer) async throws -> String {
        if let id = customer.stripeCustomerID { return id }
        let object = try await operations.perform(
            .customer, subject: customer.userID.description, path: "/v1/customers",
            form: ["email": customer.email, "metadata[user_id]": customer.userID.description],
            key: "cus-\(customer.userID)-\(customer.generation)")
        return try object.stripeString("id")
    }
}
